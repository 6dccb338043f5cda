/* Headers of the reference's data sets of single regions, misprints included. */
#include "base/assertion.h"
#include "text/prompts.h"

static const char coco[] =
    "<image>\n"
    "In the conversation below, you simply answer the category name based on what you see"
    " in the imagery inside a particular region. I will give you only one region each "
    "time.\n";
static const char part_imagenet[] =
    "<image>\n"
    "In the conversation below, you simply answer the category and subcategory name based"
    " on what you seein the image inside a particular region. It maybe a subpart of an "
    "object. I will give you only one region each time. Your answer should in the format "
    "of category subcategory. Categories Containing Bottle, Biped, Quadruped, Fish, "
    "Reptile, Bicycle, Bird, Car, Boat, Snake, Aeroplane. Subcategories Containing "
    "Tier,Hand,Wing,Mouth,Tail,Side,Fin,Engine,Foot,Head,Body,Sail,Seat.\n";
static const char pascal_part[] =
    "<image>\n"
    "In the conversation below, you simply answer the category and subcategory name based"
    " on what you seein the image inside a particular region. It maybe a subpart of an "
    "object. I will give you only one region each time. Your answer should in the format "
    "of category:subcategory. Categories Containing potted plant, aeroplane, cow, cat, "
    "bus, horse, car, dog, bicycle, person, bird, bottle, sheep, motorbike. Subcategories"
    " Containing eye,window,cap,headlight,hand,mirror,arm,plant,wheel,ear,pot,foot,leg,no"
    "se,body,horn,handlebar,neck,license "
    "plate,paw,saddle,head,muzzle,tail,wing,beak,hair,torso,door,mouth.\n";
static const char paco[] =
    "<image>\n"
    "In the conversation below, you simply answer the category, subcategory name, and "
    "list of applied attributes based on what you seein the image inside a particular "
    "region. It maybe a subpart of an object. I will give you only one region each time. "
    "Your answer should in the format of \"category:subcategory that is attributes\". "
    "Categories Containing ball, basket, belt, bench, bicycle, blender, book, bottle, "
    "bowl, box, broom, bucket, calculator, can, car, carton, cellular telephone, chair, "
    "clock, crate, cup, dog, drill, drum, earphone, fan, glass, guitar, hammer, handbag, "
    "hat, helmet, jar, kettle, knife, ladder, lamp, laptop computer, microwave oven, "
    "mirror, mouse, mug, napkin, newspaper, pan, pen, pencil, pillow, pipe, plastic bag, "
    "plate, pliers, remote control, scarf, scissors, screwdriver, shoe, slipper, soap, "
    "sponge, spoon, stool, sweater, table, tape, telephone, television set, tissue paper,"
    " towel, trash can, tray, vase, wallet, watch, wrench. Subcategories Containing "
    "antenna,apron,arm,back,back cover,backstay,bar,barrel,base,base "
    "panel,basket,bezel,blade,body,border,bottom,bowl,bracket,bridge,brush,brush cap,buck"
    "le,bulb,bumper,button,cable,camera,canopy,cap,capsule,case,clip,closure,colied "
    "tube,control panel,cover,cuff,cup,decoration,dial,door handle,down "
    "tube,drawer,drawing,ear,ear pads,embroidery,end tip,eraser,eye,eyelet,face,face "
    "shield,fan box,fender,ferrule,finger hole,fingerboard,finial,flap,food cup,foot,foot"
    "rest,fork,frame,fringes,gear,grille,grip,hand,handle,handlebar,head,head "
    "tube,headband,headlight,headstock,heel,hem,hole,hood,housing,inner body,inner "
    "side,inner wall,insole,jaw,joint,key,keyboard,label,lace,lead,left "
    "button,leg,lid,light,lining,logo,loop,lower "
    "bristles,lug,mirror,motor,mouth,neck,neckband,nose,nozzle,nozzle stem,outer "
    "side,outsole,page,pedal,pedestal column,pediment,pickguard,pipe,pom pom,prong,pull "
    "tab,punt,push pull cap,quarter,rail,right button,rim,ring,rod,roll,roof,rough "
    "surface,runningboard,saddle,screen,screw,scroll wheel,seal ring,seat,seat stay,seat "
    "tube,shade,shade cap,shade inner side,shaft,shank,shelf,shoulder,side,side button,si"
    "gn,sipper,skirt,sleeve,slider,spindle,splashboard,spout,steeringwheel,stem,step,stic"
    "ker,stile,strap,stretcher,string,switch,swivel,table "
    "top,tail,taillight,tank,tapering top,teeth,terry bar,text,throat,time "
    "display,tip,toe box,tongue,top,top cap,top "
    "tube,touchpad,trunk,turnsignal,turntable,vamp,vapour "
    "cover,visor,welt,wheel,window,windowpane,windshield,wiper,wire,yoke,zip. Attributes "
    "Containing black,blue,brown,ceramic,checkered,crochet,dark blue,dark brown,dark "
    "green,dark grey,dark orange,dark pink,dark purple,dark red,dark "
    "yellow,dotted,fabric,floral,glass,green,grey,leather,light blue,light brown,light "
    "green,light grey,light orange,light pink,light purple,light red,light yellow,logo,me"
    "tal,opaque,orange,paper,perforated,pink,plain,plastic,purple,rattan,red,stone,stripe"
    "d,studded,text,translucent,transparent,velvet,white,wood,wool,woven,yellow.\n";
static const char refcoco[] =
    "<image>\n"
    "I will provide you with only one region containing only one object, although there "
    "may be other objects present in the image. It is recommended that you describe the "
    "object's relative position with respect to other objects in the image, as well as "
    "its position within the image and its basic attributes.\n";

const char *prompt_header(enum prompt_header header)
{
    static const char *const headers[PROMPT_HEADERS] = {
        [HEADER_COCO] = coco,
        [HEADER_PART_IMAGENET] = part_imagenet,
        [HEADER_PASCAL_PART] = pascal_part,
        [HEADER_PACO] = paco,
        [HEADER_REFCOCO] = refcoco,
    };
    ASSERT(header < PROMPT_HEADERS, "no header %d", (int)header);
    return headers[header];
}
